"""`make bench`: this service, Redis and etcd under the same loads on the same machine, in one report."""
