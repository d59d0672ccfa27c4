"""What people come to ask across sessions, answered from one moment of the read models.

Each module is one question: a function of a database and of what narrows it, which returns plain values. The commands
print them, the API sends them and the pages show them, so the three cannot differ.
"""
