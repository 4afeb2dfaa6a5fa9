"""A plan's runs side by side in several processes of this machine, which share it by their claims."""
