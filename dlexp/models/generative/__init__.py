"""Networks that make new samples: autoencoders, generators and their critics, denoisers, flows."""
