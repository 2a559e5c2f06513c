"""A search on a cluster: handed to it as a job, followed, stopped; what it lacks, told before."""
