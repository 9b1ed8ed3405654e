"""The file of a LoRA: its tensors' names, its header, and the bytes that hold both."""
