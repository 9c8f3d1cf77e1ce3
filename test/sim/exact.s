// This file lets a function be declared that the runtime defines.
