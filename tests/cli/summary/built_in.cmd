cornu summary autoencoder --ascii | sed 4q
cornu summary autoencodr
