"""From a sweep file to the runs it stands for."""
