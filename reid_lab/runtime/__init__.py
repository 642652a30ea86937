"""What every long computation needs, whatever its subject: errors, checks, devices, processes, files."""
