"""Components as scenarios describe them."""
