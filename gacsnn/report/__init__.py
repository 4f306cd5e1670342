"""Tables, figures and pages, made from what runs have written. Nothing here trains, or imports torch or Hydra."""
