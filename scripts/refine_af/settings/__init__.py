"""The sections of config.yaml: fields and validators, nothing that computes."""
