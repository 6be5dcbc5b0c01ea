"""Where the clients' side runs: in this process, or on workers that a fork server gives."""
