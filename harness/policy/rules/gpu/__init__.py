"""GPUs: who asks for them, which nodes have them, what shares them out."""
