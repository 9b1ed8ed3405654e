"""Lifelike portraits of people who do not exist: MakeHuman's figures, lit and seen."""
