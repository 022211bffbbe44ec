"""A folder for PYTHONPATH that holds nothing but `sitecustomize`."""
