"""What several test modules use: small records, short trainings, stand-ins for servers, hostile input."""
