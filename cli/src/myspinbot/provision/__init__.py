"""What a deployment needs before its first start: secrets, keys, certificates, names.

All of it lies in one folder that is not in git. Making it twice changes nothing, so an upgrade
runs it again to get what a new version needs, and a timer runs it to renew the certificate.
"""
