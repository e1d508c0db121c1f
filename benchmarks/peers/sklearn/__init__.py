"""The RBF network beside scikit-learn's kernel ridge regression."""
