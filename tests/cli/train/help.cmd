cornu train --help
