"""What every long computation needs, and nothing about re-identification: errors, checks, devices, processes, files."""
