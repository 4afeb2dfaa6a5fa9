"""Decoded once: pictures in a store on disk, in memory or on the GPU."""
