"""A search on a cluster: handed to it as a job, followed, stopped; and what it lacks, said before."""
