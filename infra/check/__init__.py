"""The offline check of the Bicep files: what can be known without Azure and without Microsoft's compiler.

`python -m infra.check` reads infra/main.bicep and the modules it names and prints every fault. It knows the part of the
language that those files use, and stops at what it does not know. `az bicep build` in the GitHub workflow knows all.
"""
