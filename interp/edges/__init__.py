"""Which head talks to which? Direct paths, edge attribution (EAP, EAP-IG), faithfulness."""
