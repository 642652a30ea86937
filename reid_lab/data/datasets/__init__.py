"""The published data sets: Market-1501, DukeMTMC-reID, MSMT17; and Passersby, which has Market-1501's layout."""
