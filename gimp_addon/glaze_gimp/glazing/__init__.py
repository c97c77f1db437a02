"""The GIMP add-on behind glaze_gimp.py. GIMP's introspected libraries and the light client, nothing else."""
