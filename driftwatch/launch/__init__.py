"""`driftwatch run`: every Trainer below a command is watched, without a change to its code.

::

    driftwatch run ── starts the command with launch/hook on PYTHONPATH, forwards signals, reads the notes
      accelerate, torchrun, trl, bash …            any number of processes in between; the environment reaches them all
        python ── hook/sitecustomize.py            waits for transformers; imports nothing else
          CallbackHandler.on_train_begin ── attach.py     adds a DriftCallback, unless there is one, and leaves a note

The event is patched and not `Trainer.__init__`: every trainer reaches it, also those that do not call their parent's
constructor, and by then it is known whether the user has added a callback of their own.
"""
