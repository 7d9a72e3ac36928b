"""Maps and metric rows of pictures: what the Opti-CAM experiments ask for, and how it is computed."""
