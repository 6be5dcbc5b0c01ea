"""A backdoor that outlives its attacker (Bellafqira et al.), and durability: a plugin of fedsec."""
