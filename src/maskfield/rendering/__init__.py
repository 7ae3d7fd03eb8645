"""L4: the Field protocol, samplers, occupancy and the one renderer."""
