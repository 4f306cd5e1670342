"""Tables and pictures, drawn from what runs have written. Nothing here trains, and nothing imports torch."""
