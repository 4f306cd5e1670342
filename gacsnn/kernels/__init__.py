"""Fast paths for what stands between the convolutions; each has to agree with the plain one (`neuron.py`, `batchnorm.py`)."""
