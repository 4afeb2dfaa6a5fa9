"""What a method costs on this machine."""
