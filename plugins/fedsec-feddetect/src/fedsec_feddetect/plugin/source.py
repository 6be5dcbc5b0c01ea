"""The paper behind this plugin."""

JIN_LI = (
    "Jin, Li: Backdoor Attack and Defense in Federated Generative Adversarial Network-based Medical "
    "Image Synthesis, Medical Image Analysis 90, 2023 (arXiv:2210.10886)"
)
