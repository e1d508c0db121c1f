"""A message passing network predicts the solubility and the toxicity of molecules.

The network reads atoms and the bonds between them, and no descriptor of the whole molecule. All
molecules lie on the device as one graph, from which every step takes a batch that is padded to one
size: one program serves molecules of all sizes.

ESOL's solubility is learned three times on a random split and three times on a scaffold split,
where the test molecules are of other kinds than the training molecules. The baseline is a random
forest on the 217 descriptors of RDKit, which contain much knowledge of chemistry. Tox21 has twelve
assays, and each molecule was tested in some of them. The params are those with the best metric on
the validation rows. The widths and the numbers of steps were chosen on the validation rows as well;
no choice was made on the test rows.

(Gilmer et al., Neural message passing for quantum chemistry, 2017.)
"""

from examples.molecules.network import plan
from examples.molecules.run import run

__all__ = ["plan", "run"]
