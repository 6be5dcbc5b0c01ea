"""Components that each break promises, for the tests of the conformance kit."""
