"""How a set comes here and is looked over: download, unpack, check, overlap."""
