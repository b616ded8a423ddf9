"""What is in the serving image, which of it has known holes, and what was decided about those.

catalog   Debian's and Python's packages, read by osv-scalibr or taken from Trivy
classes   a JAR as its classes' digests
library   which published library a class of a JAR without a word about itself is of
bom       both as one bill of materials, with which Java class wins
match     what Trivy's database knows of it
verdict   what a person decided, until when
"""
