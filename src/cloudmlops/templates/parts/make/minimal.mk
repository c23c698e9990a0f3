
run: .venv/made  ## Train, register, deploy, ask
	$(BIN)/python train.py

