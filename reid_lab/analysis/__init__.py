"""What a trained network does: where it looks, what it costs, when it fails.

gradcam      where it looks; ``shares``: how much of the heat lies on the person
cost         parameters, operations, time; ``embedders``: ways to run a network fast
attributes   how well they are told, beside the majority guess
conditions   accuracy by occlusion, view angle, cameras; ``wrong_answers``: what wrong answers share with their queries
backgrounds  is the background a shortcut, is color enough
"""
