"""`driftwatch run`: watches every Trainer that a command starts, without a change to its code.

::

    driftwatch run ── starts the command with launch/hook on PYTHONPATH, forwards signals, reads the notes
      accelerate, torchrun, trl, bash …            any number of processes in between; the environment reaches them all
        python ── hook/sitecustomize.py            waits for transformers; imports nothing else
          CallbackHandler.on_train_begin ── attach.py     adds a DriftCallback, unless there is one, and leaves a note

The event is patched instead of `Trainer.__init__`, because every trainer reaches it, even one that does not call its
parent's constructor, and because by then it is known whether the user has added a callback of their own.
"""
