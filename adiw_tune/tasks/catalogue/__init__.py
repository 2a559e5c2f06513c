"""The tasks that come with the package, one file each, and where their files are found."""

from adiw_tune.tasks.base import Task
from adiw_tune.tasks.catalogue.adult import ADULT
from adiw_tune.tasks.catalogue.cifar import CIFAR10, CIFAR100
from adiw_tune.tasks.catalogue.cifar10n import CIFAR10N
from adiw_tune.tasks.catalogue.color_fashion import COLOR_FASHION
from adiw_tune.tasks.catalogue.digits import DIGITS
from adiw_tune.tasks.catalogue.fashion_mnist import FASHION_MNIST
from adiw_tune.tasks.catalogue.image_folder import IMAGE_FOLDER

# A new task is one file beside this one and one entry here.
TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        DIGITS,
        FASHION_MNIST,
        COLOR_FASHION,
        CIFAR10,
        CIFAR100,
        CIFAR10N,
        ADULT,
        IMAGE_FOLDER,
    )
}
