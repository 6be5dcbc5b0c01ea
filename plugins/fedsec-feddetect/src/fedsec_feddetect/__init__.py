"""Federated GANs under backdoor attack, and FedDetect (Jin and Li): a plugin of fedsec."""
