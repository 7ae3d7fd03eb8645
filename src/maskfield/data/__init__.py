"""L4: the stored nouns (Scene, RadianceGrid, ...), readers, writers, procedural worlds, stores."""
