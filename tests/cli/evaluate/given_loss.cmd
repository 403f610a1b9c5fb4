ln -s "$cases/../../golden" golden
cornu evaluate golden/keras3/b_autoencoder.keras --data shapes:4 --loss mse --metrics mae |
    sed 's/\(\.[0-9]\{4\}\)[0-9]*/\1/'
