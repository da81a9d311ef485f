"""The YAML files that configurations are composed of."""
