"""Official numbers: runner, case loader, weight rules, comparators and one adapter per kind."""
