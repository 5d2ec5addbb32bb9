"""Reports: records of several object types counted and summed, over the labels that associate them."""
